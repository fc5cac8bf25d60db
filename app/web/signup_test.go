package web_test

import (
	"net/http"
	"strings"
	"testing"

	"lockstep/app"
)

var adaForm = []string{"name", "Ada", "email", "ada@example.org", "team", "north"}

func TestASignUpWithoutJavaScriptIsOneAccount(t *testing.T) {
	base, store := serving(t)
	c := browser(t)
	address := open(t, c, base+"/signup/x").forms["signup"]
	for range 2 { // a double click, or a reload of the answer
		if resp, body := press(t, c, base+address, adaForm...); resp.StatusCode != http.StatusSeeOther || resp.Header.Get("Location") != "/signup/x" {
			t.Fatalf("got %d to %q: %s", resp.StatusCode, resp.Header.Get("Location"), body)
		}
	}
	// From another page of the same person, whose first answer was lost on the way.
	if resp, body := press(t, c, base+open(t, c, base+"/signup/x").forms["signup"], adaForm...); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d: %s", resp.StatusCode, body)
	}
	all := stateOf(t, store, app.SignupKind(), "x").Accounts
	if len(all) != 1 || all[0].Name != "Ada" || all[0].Email != "ada@example.org" {
		t.Errorf("got %v, want one account", all)
	}
	p := open(t, c, base+"/signup/x")
	if !strings.Contains(p.body, `data-name="Ada"`) || strings.Contains(p.body, "ada@example.org") {
		t.Errorf("the page has no account, or an address: %s", p.body)
	}
}

// TestARefusedSignUpComesBackAsItWasFilledIn: with what is wrong beside each field, and the same
// again when it is sent again.
func TestARefusedSignUpComesBackAsItWasFilledIn(t *testing.T) {
	base, store := serving(t)
	ann, bob := browser(t), browser(t)
	press(t, ann, base+open(t, ann, base+"/signup/x").forms["signup"], adaForm...)
	address := open(t, bob, base+"/signup/x").forms["signup"]
	filled := []string{"name", "aDA", "email", `"><i>@example`, "team", "south"}
	for range 2 {
		resp, body := press(t, bob, base+address, filled...)
		if resp.StatusCode != http.StatusUnprocessableEntity || resp.Header.Get("Cache-Control") != "no-cache" {
			t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
		}
		for _, want := range []string{
			`id="error-name" role="status">this name is taken<`, `id="error-email" role="status">this address has a character that none has<`,
			`value="aDA"`, `value="&#34;&gt;&lt;i&gt;@example"`, `<option value="south" selected>`, `aria-invalid="true"`,
		} {
			if !strings.Contains(body, want) {
				t.Errorf("the page has no %s", want)
			}
		}
		if strings.Contains(body, "<i>") {
			t.Error("what was filled in is markup")
		}
	}
	// The form that came back is another one, and may be sent when it is mended.
	_, body := press(t, bob, base+address, filled...)
	back, _ := readPage(t, body)
	mended := back.forms["signup"]
	if resp, body := press(t, bob, base+mended, "name", "Bob", "email", "b@example.org", "team", "south"); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("got %d: %s", resp.StatusCode, body)
	}
	if all := stateOf(t, store, app.SignupKind(), "x").Accounts; len(all) != 2 {
		t.Errorf("got %v", all)
	}
	// What one person has filled in nobody else is shown.
	if p := open(t, ann, base+"/signup/x"); strings.Contains(p.body, "aDA") || strings.Contains(p.body, "is taken") {
		t.Error("another page has it")
	}
}

func TestTheSignUpsAddressLeadsToTheLobbys(t *testing.T) {
	base, _ := serving(t)
	resp, err := browser(t).Get(base + "/signup")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got := resp.Header.Get("Location"); resp.StatusCode != http.StatusSeeOther || got != "/signup/lobby" {
		t.Errorf("got %d to %q", resp.StatusCode, got)
	}
}
