// Package workflows is the group that judges: it folds the events of the four workflow topics into one row per workflow, judges every
// use once the clocks have passed it, writes verdicts, and judges again what a later event or a change of a source may have changed.
//
// A change of a source is stored once, in the sources table, which every instance holds as a View. Which workflows it touches is looked
// up in an index that is derived from their rows. No change is lost between a unit that reads the View and the search of the index: a
// change is searched for only after a transaction that was sealed behind a marker unit, which itself ran after the change was in the
// View. So every unit either ran after the change and read it, or is in the index when it is searched.
package workflows
