// Package download fetches public data sets into a folder: from the first mirror
// that answers, going on where an interrupted download stopped, and accepting
// only files with the SHA-256 that is pinned here.
//
// The package must not know what the files mean, nor the command line.
package download

// Set is a public data set.
type Set struct {
	Name        string
	Description string
	Source      string // where it comes from, and its licence
	Files       []File
	Mirrors     []string // addresses of folders, ending in /, in the order in which they are tried
	Parts       []Part
}

// Part names the files of a table of examples.
type Part struct {
	Name   string // empty: the training examples
	Data   string
	Labels string // may be empty
}

// File is a file of a set.
type File struct {
	Name   string // in the folder and on the mirrors
	Size   int64  // bytes
	SHA256 string // of its bytes, in hexadecimal
}

// Sets is the catalogue.
func Sets() []Set {
	images := []Part{
		{"", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"},
		{"test", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"},
	}
	return []Set{
		{
			Name: "mnist", Description: "70,000 handwritten digits, 28x28 pixels", Source: "LeCun, Cortes and Burges, CC BY-SA 3.0",
			Files: []File{
				{"train-images-idx3-ubyte.gz", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"},
				{"train-labels-idx1-ubyte.gz", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"},
				{"t10k-images-idx3-ubyte.gz", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"},
				{"t10k-labels-idx1-ubyte.gz", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"},
			},
			Mirrors: []string{"https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"},
			Parts:   images,
		},
		{
			Name: "fashion-mnist", Description: "70,000 pictures of clothes, 28x28 pixels", Source: "Zalando Research, MIT",
			Files: []File{
				{"train-images-idx3-ubyte.gz", 26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"},
				{"train-labels-idx1-ubyte.gz", 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"},
				{"t10k-images-idx3-ubyte.gz", 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"},
				{"t10k-labels-idx1-ubyte.gz", 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"},
			},
			Mirrors: []string{"https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"},
			Parts:   images,
		},
		{
			Name: "kmnist", Description: "70,000 handwritten hiragana, 28x28 pixels", Source: "CODH, from the Kuzushiji data set of NIJL and others, doi:10.20676/00000341, CC BY-SA 4.0",
			Files: []File{
				{"train-images-idx3-ubyte.gz", 18165135, "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4"},
				{"train-labels-idx1-ubyte.gz", 29497, "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17"},
				{"t10k-images-idx3-ubyte.gz", 3041136, "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5"},
				{"t10k-labels-idx1-ubyte.gz", 5120, "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c"},
			},
			Mirrors: []string{"http://codh.rois.ac.jp/kmnist/dataset/kmnist/"},
			Parts:   images,
		},
		{
			Name: "adult", Description: "census income, 48,842 people, numbers and text", Source: "Becker and Kohavi 1996, UCI Machine Learning Repository, doi:10.24432/C5XW20, CC BY 4.0",
			Files: []File{
				{"adult.data", 3974305, "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"},
				{"adult.test", 2003153, "a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05"},
			},
			Mirrors: []string{"https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"},
			Parts:   []Part{{"", "adult.data", ""}, {"test", "adult.test", ""}},
		},
	}
}

// Find returns the set of that name.
func Find(name string) (Set, bool) {
	for _, s := range Sets() {
		if s.Name == name {
			return s, true
		}
	}
	return Set{}, false
}
