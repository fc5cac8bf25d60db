package driver

import "context"

// Gather returns a first value and those that wait behind it on a channel, most at most, and does
// not wait for more. With it a goroutine that alone writes to a connection sends what has gathered
// while its last round trip was under way in the next one.
func Gather[T any](first T, behind <-chan T, most int) []T {
	all := []T{first}
	for len(all) < most {
		select {
		case next := <-behind:
			all = append(all, next)
		default:
			return all
		}
	}
	return all
}

// Ask hands a request to a goroutine that gathers, and returns what that sends on answer, which has
// room for it. It ends with the connection, whose reason it returns, and with ctx.
func Ask[T any](ctx context.Context, b *Inbox, to chan<- T, request T, answer <-chan error) error {
	if err := b.Usable(ctx); err != nil {
		return err
	}
	select {
	case to <- request:
	case <-b.Ended():
		return b.Usable(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-b.Ended():
		return b.Usable(ctx)
	case <-ctx.Done():
		return ctx.Err()
	}
}
