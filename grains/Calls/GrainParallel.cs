namespace IommuFd.Grains.Calls;

/// <summary>Several calls under way at once within a grain's turn. Unlike <see cref="Parallel"/>, everything stays on the grain's own scheduler.</summary>
internal static class GrainParallel
{
    /// <summary>Runs an action for each item, at most <paramref name="degree"/> of them under way at once.</summary>
    public static async Task ForEachAsync<T>(IEnumerable<T> items, int degree, Func<T, ValueTask> action)
    {
        using var enumerator = items.GetEnumerator();
        var workers = new List<Task>(degree);
        for (var i = 0; i < degree; i++)
        {
            var worker = WorkAsync();
            if (worker.IsCompletedSuccessfully)
            {
                // It ran to the end of the items without waiting once.
                break;
            }

            workers.Add(worker);
        }

        await Task.WhenAll(workers);

        // Workers share the enumerator without a lock: a turn runs one of them at a time.
        async Task WorkAsync()
        {
            while (enumerator.MoveNext())
            {
                await action(enumerator.Current);
            }
        }
    }
}
