// Package wait lets tests wait for what has to come about, instead of for time.
package wait
