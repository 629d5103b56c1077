//go:build !torture

package main

func watchHeap() {}
