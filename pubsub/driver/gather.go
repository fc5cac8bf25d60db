package driver

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
