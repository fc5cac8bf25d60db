package gallery_test

import (
	"fmt"

	"lockstep/components/gallery"
)

// The gallery is data, too: for a page of one's own about the components.
func ExampleSections() {
	for _, s := range gallery.Sections() {
		if s.ID == "kbd" {
			fmt.Printf("%s: %s\n%s", s.Name, s.About, s.Examples[0].Source)
		}
	}
	// Output:
	// Keys: A key, or several that are pressed together.
	// <p>
	// 	Press
	// 	@components.Kbd(components.KbdProps{Keys: []string{"Ctrl", "K"}})
	// 	to search, and
	// 	@components.Kbd(components.KbdProps{Keys: []string{"?"}})
	// 	shows all of them.
	// </p>
}
