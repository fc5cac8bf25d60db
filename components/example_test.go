package components_test

import (
	"context"
	"fmt"
	"os"

	"github.com/a-h/templ"

	"lockstep/components"
)

// In a template its children are written behind it, in braces:
//
//	@components.Button(components.ButtonProps{Variant: components.Primary}) { Save }
func ExampleButton() {
	save := components.Button(components.ButtonProps{Variant: components.Primary})
	ctx := templ.WithChildren(context.Background(), templ.Raw("Save"))
	if err := save.Render(ctx, os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output: <button class="ls-button ls-button-primary" type="submit">Save</button>
}

// A class of one's own is joined with those of the component, and other attributes are added.
func ExampleKbd_attributes() {
	key := components.Kbd(components.KbdProps{Keys: []string{"Esc"}, Attributes: templ.Attributes{"class": "big", "data-key": "27"}})
	if err := key.Render(context.Background(), os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output: <kbd class="ls-keys big" data-key="27"> <kbd class="ls-key">Esc</kbd></kbd>
}
