package bidding

// What the tests see of the inside.
var Common = common
