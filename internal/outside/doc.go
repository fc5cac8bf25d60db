// Package outside is the test that other modules can use this one as README
// says, by "replace" or by a workspace, and what they get with it. It has no
// code of its own.
package outside
