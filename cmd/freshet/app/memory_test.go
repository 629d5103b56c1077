package app

import (
	"os"
	"testing"
)

func TestCgroupMemory(t *testing.T) {
	const service = "0::/system.slice/freshet.service\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"none":                        {nil, 0},
		"a container":                 {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "2147483648\n"}, 2 << 30},
		"a container without a limit": {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "max\n"}, 0},
		"a service": {map[string]string{"/proc/self/cgroup": service, "/sys/fs/cgroup/system.slice/freshet.service/memory.max": "1073741824\n",
			"/sys/fs/cgroup/system.slice/memory.max": "max\n"}, 1 << 30},
		"the slice of a service": {map[string]string{"/proc/self/cgroup": service, "/sys/fs/cgroup/system.slice/freshet.service/memory.max": "1073741824\n",
			"/sys/fs/cgroup/system.slice/memory.max": "536870912\n"}, 512 << 20},
		"version 1":                 {map[string]string{"/proc/self/cgroup": "4:memory:/docker/1\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "3221225472\n"}, 3 << 30},
		"version 1 without a limit": {map[string]string{"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
	} {
		read := func(file string) ([]byte, error) {
			if text, ok := c.files[file]; ok {
				return []byte(text), nil
			}
			return nil, os.ErrNotExist
		}
		if got := cgroupMemory(read); got != c.want {
			t.Errorf("%s: %d; want %d", name, got, c.want)
		}
	}
}
