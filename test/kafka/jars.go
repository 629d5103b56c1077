//go:build unix

package kafka

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
)

//go:embed pom.xml
var pom []byte

//go:embed log4j2.yaml
var log4j []byte

// Version is the version of Kafka that pom.xml pins.
func Version() string {
	return string(regexp.MustCompile(`<kafka\.version>(.*)</kafka\.version>`).FindSubmatch(pom)[1])
}

// ErrMissing is what cannot be run because something is not installed.
var ErrMissing = errors.New("no real Kafka on this machine")

// leastJava is the oldest Java that Kafka 4 runs on.
const leastJava = 17

// java returns the java to run, if it is new enough.
func java(ctx context.Context) (string, error) {
	path, err := exec.LookPath("java")
	if home := os.Getenv("JAVA_HOME"); home != "" {
		path, err = exec.LookPath(filepath.Join(home, "bin", "java"))
	}
	if err != nil {
		return "", fmt.Errorf("%w: Java %d or later is missing (apt-get install default-jre-headless)", ErrMissing, leastJava)
	}
	out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s -version: %w", ErrMissing, path, err)
	}
	m := regexp.MustCompile(`version "(\d+)`).FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%w: %s -version says %q", ErrMissing, path, out)
	}
	if major, err := strconv.Atoi(string(m[1])); err != nil || major < leastJava {
		return "", fmt.Errorf("%w: %s is Java %s, Kafka needs %d or later", ErrMissing, path, m[1], leastJava)
	}
	return path, nil
}

// BuildDir is the directory of the repository that git ignores: jars, data, logs.
func BuildDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "build", "kafka"), nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("there is no go.mod above the working directory")
		}
		dir = up
	}
}

// Installed returns the java to run and the directory of Kafka's jars, which it fetches if they are not there. What is missing to run a
// broker is an ErrMissing.
func Installed(ctx context.Context) (exe, libs string, err error) {
	if exe, err = java(ctx); err != nil {
		return "", "", err
	}
	build, err := BuildDir()
	if err != nil {
		return "", "", err
	}
	libs, err = jars(ctx, build)
	return exe, libs, err
}

// mostFetches is how often Maven is asked for the jars.
const mostFetches = 3

// jars returns the directory with Kafka's jars. The first call fetches them with Maven; a lock lets one process do that.
func jars(ctx context.Context, build string) (string, error) {
	dir := os.Getenv("KAFKA_LIBS")
	if dir == "" {
		dir = filepath.Join(build, "libs-"+Version())
	}
	has := func() bool { _, err := os.Stat(filepath.Join(dir, "kafka_2.13-"+Version()+".jar")); return err == nil }
	if has() {
		return dir, nil
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return "", fmt.Errorf("%w: Maven is missing, and %s does not hold Kafka's jars (apt-get install maven)", ErrMissing, dir)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("directory of the jars: %w", err)
	}
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("lock the jars: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock the jars: %w", err)
	}
	if has() {
		return dir, nil
	}
	// Into a directory beside it first: one that is there is whole.
	part, err := os.MkdirTemp(filepath.Dir(dir), "fetch-")
	if err != nil {
		return "", fmt.Errorf("fetch the jars: %w", err)
	}
	defer os.RemoveAll(part)
	file := filepath.Join(part, "pom.xml")
	if err := os.WriteFile(file, pom, 0o644); err != nil {
		return "", fmt.Errorf("fetch the jars: %w", err)
	}
	libs := filepath.Join(part, "libs")
	for tries := 1; ; tries++ { // networks fail
		out, err := exec.CommandContext(ctx, mvn, "-q", "-B", "-f", file, "dependency:copy-dependencies", "-DoutputDirectory="+libs).CombinedOutput()
		if err == nil {
			break
		}
		if tries == mostFetches || ctx.Err() != nil {
			return "", fmt.Errorf("fetch Kafka %s with Maven: %w: %s", Version(), err, out)
		}
	}
	if err := os.Rename(libs, dir); err != nil {
		return "", fmt.Errorf("fetch the jars: %w", err)
	}
	return dir, nil
}
