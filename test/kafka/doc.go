// Package kafka runs a real Apache Kafka for tests and development: the version that pom.xml pins, in KRaft mode, from its published jars,
// listening on loopback only, with one broker or three. Start is for tests, Launch for everything else; the command in run/ starts and
// stops one from a shell (make kafka-start, make kafka-stop). It needs Java 17 or later and, the first time, Maven; where they are
// missing it says what is not run, it does not pass silently.
package kafka
