// Activity sources and listeners are the process's: what one test does would be seen by another's.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
