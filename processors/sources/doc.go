// Package sources is the group that keeps the truth: it folds the events of the source topics into one item per kind/key, writes the
// clock of each partition behind them, and offers the View that every instance holds of the whole table.
package sources
