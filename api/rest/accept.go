package rest

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/exitae337/orchestergo/api"
)

// checkAccept refuses a request that takes none of the forms in which it could be
// answered. A refusal itself always has its own form, whatever is accepted.
func checkAccept(r *http.Request, forms []string) error {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return nil
	}
	for _, form := range forms {
		if accepts(accept, form) {
			return nil
		}
	}
	return api.Errorf(api.NotAcceptable, "the header Accept has %.80q, and the answer is %s", accept, strings.Join(forms, " or ")).
		WithHint("leave the header out, or accept */*")
}

// accepts says whether a list of media ranges allows form. The range that says most
// about it decides; of those that cannot be read none does.
func accepts(list, form string) bool {
	media, _, _ := strings.Cut(form, ";")
	kind, _, _ := strings.Cut(media, "/")
	most, ok := 0, false
	for one := range strings.SplitSeq(list, ",") {
		says, params, err := mime.ParseMediaType(one)
		rank := map[string]int{"*/*": 1, kind + "/*": 2, media: 3}[says]
		if err != nil || rank < most || rank == 0 {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		most, ok = rank, err != nil || q > 0 // without a q it is 1
	}
	return ok
}
