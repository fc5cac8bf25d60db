package pages

// A Split is a page that shows another one several times.
type Split struct {
	Name  string // of what is shown
	Views []View
	// Apart is true when each view is of another replica. If not, what is in front of the replicas
	// decides who serves which.
	Apart bool

	Home, Newest string // the start page, and what is shown, alone
	Style, Icon  string // paths
	Styles       []string
}

// A View is a page in a frame.
type View struct {
	Name  string // of the replica, or of the view
	Small string // the page in the frame
	Whole string // the same as a page of its own
}

// says is what there is to see.
func (s Split) says() string {
	switch {
	case s.Apart:
		return "Each view is served by a replica of its own. Click in one of them."
	case len(s.Views) > 1:
		return "Each view is a tab of its own, and says which replica serves it. Click in one of them."
	}
	return ""
}
