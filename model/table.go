package model

// kind is one of the enumerations of package device.
type kind interface {
	~uint8
	String() string
}

func named[K kind](kinds []K, name string) (K, bool) {
	for _, k := range kinds {
		if k.String() == name {
			return k, true
		}
	}
	return 0, false
}

func names[K kind](kinds []K) []string {
	all := make([]string, len(kinds))
	for i, k := range kinds {
		all[i] = k.String()
	}
	return all
}
