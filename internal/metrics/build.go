package metrics

import "runtime/debug"

// Build is what the binary was built from.
type Build struct {
	Version   string `json:"version"`   // of the module: a tag, or a pseudo-version
	Revision  string `json:"revision"`  // of the source, "unknown" outside a checkout
	Time      string `json:"time"`      // of that revision
	Modified  bool   `json:"modified"`  // there were changes on top of it
	GoVersion string `json:"goversion"` // toolchain
}

// ReadBuild returns what the toolchain wrote into the binary.
func ReadBuild() Build {
	b := Build{Version: "devel", Revision: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.GoVersion = info.GoVersion
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
