package state

// views are what a run knows of lanes, each client once. There are fewer than
// ops, and mostly few.
type views struct {
	list  []laneView        // is never copied to grow: pointers into it are given out
	index map[Client]uint16 // into list, if there are more ops than fewViews
}

// fewViews are found sooner by looking at each.
const fewViews = 16

// newViews has room for the lanes of so many ops.
func newViews(ops int) views {
	v := views{list: make([]laneView, 0, ops)}
	if ops > fewViews {
		v.index = make(map[Client]uint16, ops)
	}
	return v
}

// of returns the view of a client's lane, and whether there was one.
func (v *views) of(c Client) (l *laneView, known bool) {
	if v.index != nil {
		if i, ok := v.index[c]; ok {
			return &v.list[i], true
		}
		v.index[c] = uint16(len(v.list)) // a run has few hundred ops
	} else {
		for i := range v.list {
			if v.list[i].client == c {
				return &v.list[i], true
			}
		}
	}
	v.list = append(v.list, laneView{client: c})
	return &v.list[len(v.list)-1], false
}
