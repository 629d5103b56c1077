// Package committed reads topics from their start to their end, committed records only, as a third party does.
package committed
