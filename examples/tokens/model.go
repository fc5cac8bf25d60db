package main

import "strings"

// modelled is what a model says to a prompt, in the place of a real one. That is given what the log
// has, and asked to go on.
func modelled(prompt string) []string {
	return strings.Fields("You ask about " + strings.Join(strings.Fields(prompt), " ") + ". " + wisdom)
}

const wisdom = `What is said is kept before it is shown, so a reload finds it, a second tab finds it,
and who comes late finds all of it. The replica that makes this answer may be killed in the middle of
a sentence, or end because a new version is deployed. Then another takes its place, asks the store
how far the answer has come, and goes on with the word that is next. What the first has on its way is
not taken any more, however late it comes. So nothing is missing, and nothing is said twice. A real
model would take its time to think. This one has only learned to say what it is for, at twenty words
a second, and it has said that now.`
