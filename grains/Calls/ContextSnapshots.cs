using IommuFd.Grains.Encoding;
using IommuFd.Grains.Model;
using IommuFd.Uapi;

namespace IommuFd.Grains.Calls;

/// <summary>Saves and restores contexts.</summary>
internal static class ContextSnapshots
{
    // Grains that are asked at once.
    private const int Concurrency = 128;

    /// <summary>Saves a context with the state of its objects' grains. Between turns.</summary>
    /// <returns>The snapshot; of no use where <paramref name="grains"/> <see cref="ObjectGrains.HasLost">have lost</see> something then.</returns>
    public static async ValueTask<ContextSnapshot> CaptureAsync(ContextModel context, ObjectGrains grains)
    {
        var called = context.Objects.After(0).Where(grains.WasCalled).ToList();
        var states = new ObjectSnapshot?[called.Count];
        await GrainParallel.ForEachAsync(Enumerable.Range(0, called.Count), Concurrency, async i => states[i] = await grains.SnapshotAsync(called[i]));

        // A grain whose state is its first one is like one that was never called.
        var (ids, kept) = (new ColumnWriter(), new List<ObjectSnapshot>());
        for (var i = 0; i < called.Count; i++)
        {
            if (states[i] is { IsFirstState: false } state)
            {
                ids.Add(called[i].Id.Value);
                kept.Add(state);
            }
        }

        return context.Save() with { Stateful = ids.ToColumn(), States = kept.Count == 0 ? null : [.. kept] };
    }

    /// <summary>
    /// Restores a saved context. The objects' grains begin a life of the epoch that <paramref name="grains"/> has; where one fails,
    /// <paramref name="grains"/> <see cref="ObjectGrains.HasLost">have lost</see> something.
    /// </summary>
    /// <exception cref="InvalidDataException">The snapshot makes no sense.</exception>
    public static async ValueTask<ContextModel> RestoreAsync(ContextSnapshot snapshot, ObjectGrains grains, ObjectKinds kinds)
    {
        var context = ContextModel.Restore(snapshot, kinds);
        var ids = snapshot.Stateful.Read();
        var stateful = new List<(ObjectEntry Entry, ObjectSnapshot State)>();
        var last = 0U;
        foreach (var state in snapshot.States ?? [])
        {
            var id = ids.Next<uint>();
            SnapshotFormat.Require(id > last, "The objects that have a state are not in ascending order.");
            stateful.Add((context.Objects.Find(id) ?? throw SnapshotFormat.Of("A state belongs to no object."), SnapshotFormat.Expect<ObjectSnapshot>(state)));
            last = id;
        }

        ids.End();
        await GrainParallel.ForEachAsync(stateful, Concurrency, item => grains.RestoreAsync(item.Entry, item.State));

        // Holds stand in the table's part alone. Grains count those that their own state does not show.
        var scope = new IoctlScope(context, grains);
        await GrainParallel.ForEachAsync(stateful, Concurrency, item => GrainKind.Of(item.Entry).RestoreHoldersAsync(scope, item.Entry));
        var told = context.DriverHolds.Concat(context.Objects.After(0).SelectMany(ToldHolds));
        await GrainParallel.ForEachAsync(told, Concurrency, async hold =>
        {
            var held = await grains.HoldAsync(hold.Target);
            SnapshotFormat.Require(held.Errno != Errno.ENOENT, "A part of an object is held that the object does not have.");
        });

        return context;
    }

    private static IEnumerable<Hold> ToldHolds(ObjectEntry entry)
        => entry.Holders().Where(hold => hold.Owner is ObjectEntry holder && GrainKind.Of(entry).IsToldOf(entry, holder));
}
