package settings

import "gpudae/internal/spelling"

// Suggest returns "did you mean X? " for the nearest candidate, or the text otherwise.
func Suggest(word string, candidates []string, otherwise string) string {
	if near := spelling.Nearest(word, candidates); near != "" {
		return "did you mean " + near + "? "
	}
	return otherwise
}
