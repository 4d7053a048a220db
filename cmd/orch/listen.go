package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const unixScheme = "unix://"

// socketMode lets the owner and the group of a socket use it.
const socketMode = 0o660

func isUnix(api string) bool { return strings.HasPrefix(api, unixScheme) }

// listenAddress makes of what --api or ORCH_API says the address that an agent
// listens on: one of this machine, HOST:PORT or unix:///PATH.
func listenAddress(s string) (string, error) {
	if strings.Contains(s, ",") {
		return s, errors.New("an agent listens on one address, not on several")
	}
	if path, ok := strings.CutPrefix(s, unixScheme); ok {
		if !filepath.IsAbs(path) {
			return s, errors.New("the path of the socket must begin with / (unix:///run/orch.sock)")
		}
		return unixScheme + filepath.Clean(path), nil
	}
	addr := strings.TrimSuffix(strings.TrimPrefix(s, "http://"), "/")
	host, _, err := net.SplitHostPort(addr)
	if err != nil || strings.Contains(addr, "/") {
		return s, errors.New("want HOST:PORT or unix:///PATH")
	}
	if !isLocal(host) {
		return s, fmt.Errorf("%s is not an address of this machine, and an agent listens on one that is", host)
	}
	return addr, nil
}

// staysHere says whether only this machine reaches an address that is listened on.
func staysHere(api string) bool {
	host, _, _ := net.SplitHostPort(api)
	ip := net.ParseIP(host)
	return isUnix(api) || host == "localhost" || ip != nil && ip.IsLoopback()
}

// isLocal says whether host is this machine's. What cannot be found out is left to
// the attempt to listen.
func isLocal(host string) bool {
	ips := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		ips = append(ips, ip.Unmap())
	} else if host != "" && host != "localhost" {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if ips, err = net.DefaultResolver.LookupNetIP(ctx, "ip", host); err != nil {
			return false
		}
	}
	own, err := net.InterfaceAddrs()
	if err != nil || len(ips) == 0 {
		return true
	}
	return slices.ContainsFunc(ips, func(ip netip.Addr) bool {
		ip = ip.Unmap().WithZone("")
		return ip.IsLoopback() || ip.IsUnspecified() || slices.ContainsFunc(own, func(a net.Addr) bool {
			n, ok := a.(*net.IPNet)
			return ok && n.IP.Equal(ip.AsSlice())
		})
	})
}

// listen binds the API.
func (a *agent) listen() (net.Listener, error) {
	if path, ok := strings.CutPrefix(a.flags.api, unixScheme); ok {
		return listenUnix(path)
	}
	host, port, err := net.SplitHostPort(a.flags.api)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", a.flags.api)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %s/tcp on %s is in use by another program (maybe an orch agent): choose --api or --ports", port, host)
	case err != nil:
		return nil, fmt.Errorf("listen for the API on %s: %w", a.flags.api, err)
	}
	return l, nil
}

// listenUnix binds a socket that its owner and group may use. One that a dead agent
// left is replaced, nothing else is.
func listenUnix(path string) (net.Listener, error) {
	if err := checkSocketDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("listen for the API on %s: %w", path, err)
	}
	if err := clearSocket(path); err != nil {
		return nil, fmt.Errorf("listen for the API on %s: %w", path, err)
	}
	old := syscall.Umask(0o777 &^ socketMode) // or anybody could connect before the mode is set
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen for the API on %s: %w", path, err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for the API on %s: %w", path, err), l.Close())
	}
	return l, nil
}

// checkSocketDir refuses a directory in which others could put another socket in
// the place of ours.
func checkSocketDir(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s: make it, or choose another socket with --api", dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case info.Mode().Perm()&0o002 != 0 && info.Mode()&os.ModeSticky == 0:
		return fmt.Errorf("everybody may change the directory %s, and so put a socket of theirs in the place of ours: choose another directory", dir)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("the directory %s belongs to another user: choose one of yours or of root", dir)
	}
	return nil
}

// clearSocket removes a socket on which nobody listens any more.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&os.ModeSocket == 0:
		return errors.New("a file of that name is there, and it is no socket: choose another with --api")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		_ = c.Close()
		return errors.New("another program (maybe an orch agent) listens there: choose another with --api")
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return err
}
