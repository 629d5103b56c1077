//go:build !torture

package await

// Point does nothing.
func Point(string) {}
