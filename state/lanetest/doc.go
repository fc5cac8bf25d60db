// Package lanetest has the proof of the identity of ops, and no code: its tests
// run real batchers over a real store, in virtual time, under faults that a seed
// decides, with a model of browsers that send again whatever is not answered.
// They look for an op that is applied twice, or answered with what is not so.
// The rule and its lines are in docs/exactly-once.md.
//
// It is not a suite for stores: that is package statetest.
package lanetest
