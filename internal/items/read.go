package items

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html"
)

// ReadMessage reads what a message says of items; nil: nothing.
func ReadMessage(message []byte, k Kind) (*Change, error) {
	var w struct {
		Epoch   uint64  `json:"e"`
		Base    *uint64 `json:"a"`
		Version *uint64 `json:"v"`
		Content *string `json:"content"`
	}
	if err := json.Unmarshal(message, &w); err != nil {
		return nil, fmt.Errorf("a message is not of the wire: %w: %.60q", err, message)
	}
	if w.Version == nil || w.Content == nil {
		return nil, nil //nolint:nilnil // it says so
	}
	c, err := Read([]byte(*w.Content), k)
	if err != nil {
		return nil, err
	}
	c.Epoch, c.Version = w.Epoch, *w.Version
	if w.Base != nil {
		c.Base, c.HasBase = *w.Base, true
	}
	switch {
	case c.HasBase && c.Base > c.Version:
		return nil, fmt.Errorf("version %d is said to follow from version %d", c.Version, c.Base)
	case !c.HasBase && !c.Whole:
		return nil, fmt.Errorf("version %d is a change, and does not say of which version", c.Version)
	}
	return c, nil
}

// Fits reports whether a tab can take the change that shows a version, if it shows any.
func (c *Change) Fits(epoch, version uint64, any bool) bool {
	return !c.HasBase || any && epoch == c.Epoch && version >= c.Base
}

// Read reads the items of a page, or of the content of a message.
func Read(body []byte, k Kind) (*Change, error) {
	prefix := map[Kind]string{List: "i-", Log: "m-"}[k]
	c := &Change{}
	z := html.NewTokenizer(bytes.NewReader(body))
	found, open, texted, span := false, false, false, 0
	var err error
	for {
		switch z.Next() {
		case html.ErrorToken:
			if !found {
				err = errors.Join(err, fmt.Errorf("nothing has data-list, and there is no hx-list: is this the page of a %s?", k))
			}
			return c, err
		case html.StartTagToken, html.SelfClosingTagToken:
			tag, attr := attributes(z)
			_, isList := attr["data-list"]
			switch {
			case tag == "hx-list":
				found = true
				err = errors.Join(err, c.head(attr, prefix))
			case isList && !found:
				found, c.Whole = true, true
			case tag == "li" && strings.HasPrefix(attr["id"], prefix) && found:
				item := Item{ID: strings.TrimPrefix(attr["id"], prefix), Done: slices.Contains(strings.Fields(attr["class"]), "done")}
				item.N, err = number(attr["data-n"], k == Log, err)
				c.Items, open, texted = append(c.Items, item), true, false
			case tag == "span" && open && (span > 0 || !texted):
				span, texted = span+1, true
			}
		case html.EndTagToken:
			switch tag, _ := z.TagName(); {
			case string(tag) == "li":
				open, span = false, 0
			case string(tag) == "span" && span > 0:
				span--
			}
		case html.TextToken:
			if span > 0 {
				c.Items[len(c.Items)-1].Text += string(z.Text())
			}
		}
	}
}

// number reads the number of an entry; err is what was wrong before.
func number(text string, wanted bool, err error) (uint64, error) {
	if !wanted {
		return 0, err
	}
	n, wrong := strconv.ParseUint(text, 10, 64)
	if wrong != nil || n == 0 {
		wrong = fmt.Errorf("an entry has the number %q", text)
	}
	return n, errors.Join(err, wrong)
}

func attributes(z *html.Tokenizer) (tag string, attr map[string]string) {
	name, more := z.TagName()
	tag, attr = string(name), make(map[string]string)
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		attr[string(key)] = string(value)
	}
	return tag, attr
}

// head reads the attributes of hx-list.
func (c *Change) head(attr map[string]string, prefix string) error {
	_, c.Whole = attr["all"]
	for _, word := range strings.Fields(attr["put"]) {
		id, behind, ok := strings.Cut(word, ":")
		if !ok || !strings.HasPrefix(id, prefix) {
			return fmt.Errorf("%q is no place", word)
		}
		c.Put = append(c.Put, Place{strings.TrimPrefix(id, prefix), strings.TrimPrefix(behind, prefix)})
	}
	for _, id := range strings.Fields(attr["gone"]) {
		c.Gone = append(c.Gone, strings.TrimPrefix(id, prefix))
	}
	if gap := attr["gap"]; gap != "" {
		n, err := strconv.ParseUint(gap, 10, 64)
		if err != nil {
			return fmt.Errorf("a gap of %q", gap)
		}
		c.Gap = n
	}
	return nil
}
