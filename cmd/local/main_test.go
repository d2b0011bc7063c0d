package main

import "testing"

// The commands are typed in order, and the first one leaves the repository.
func TestUpNextWorksInOrder(t *testing.T) {
	want := `What to try next
  cp -R examples/shop /tmp/shop && cd /tmp/shop && git init -qb main && git add . && git commit -qm "The shop opens"
  /src/slipway/bin/slipway app apply -f /src/slipway/.slipway/shop.yaml
  /src/slipway/bin/slipway deploy --app shop --env production --wait
  . /src/slipway/.slipway/local.env  so that any AWS client uses this cloud: aws, sam, an SDK
  make -C /src/slipway down          stops it`
	if got := upNext("/src/slipway", "/src/slipway/.slipway/shop.yaml", "/src/slipway/.slipway/local.env"); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
