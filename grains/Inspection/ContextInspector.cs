using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;

namespace IommuFd.Grains.Inspection;

/// <summary>Shows a context and a page of its objects. Only reads, and takes the table's part of the page in one step, between turns or their awaits.</summary>
internal static class ContextInspector
{
    // How many states are asked for at once.
    private const int StateConcurrency = 64;

    public static async Task<ObjectInspection?> InspectObjectAsync(ContextModel context, ObjectGrains grains, ObjectId id, StatePage page)
    {
        if (context.Objects.Find(id.Value) is not { } entry)
        {
            return null;
        }

        var shown = await ShowAsync(Show(entry), grains, entry, page);
        return shown with { Facts = shown.State is { } state ? [Users(shown), .. entry.Kind.FactsOf(entry, state)] : [] };
    }

    public static async Task<ContextInspection> InspectAsync(
        ContextModel context, ObjectGrains grains, string silo, InspectRequest request, CancellationToken cancellationToken)
    {
        var limit = Math.Clamp(request.Limit, 0, IoctlLimits.MaxInspectionPage);
        var entries = context.Objects.After(request.After.Value).Take(limit + 1).ToList();
        var page = Fitting(entries.Take(limit).Select(Show));
        var hasMore = entries.Count > page.Length;

        var inspection = new ContextInspection
        {
            Mode = context.Mode,
            Silo = silo,
            RlimitMode = context.RlimitMode,
            TempMemoryLimit = context.TempMemoryLimit,
            CompatIoas = context.CompatIoas?.Id ?? default,
            References = [.. context.References.Take(IoctlLimits.MaxListed).Select(reference
                => new ReferenceInspection(reference.Id, reference.Kind, reference.Name, reference.HeldCount))],
            ObjectCount = context.Objects.Count,
            Objects = page,
            HasMore = hasMore,
            PinnedPages = grains.Pins.Total,
            Pinned = [.. grains.Pins.Owners.OrderByDescending(owner => owner.Pages).Take(IoctlLimits.MaxListed)
                .Select(owner => new PinnedMemory(owner.Owner.Source, owner.Owner.Account, owner.Pages))],
        };

        if (!request.WithState)
        {
            return inspection;
        }

        await GrainParallel.ForEachAsync(Enumerable.Range(0, page.Length), StateConcurrency, async i =>
        {
            cancellationToken.ThrowIfCancellationRequested();

            // Turns may have run since the page was taken: an object that is gone has no state, and another may have its id.
            if (context.Objects.Find(entries[i].Id.Value) == entries[i])
            {
                page[i] = await ShowAsync(page[i], grains, entries[i], page: default);
            }
        });
        return inspection.WithObjects(Fitting(page));
    }

    // As many as one reply carries, and at least one: those that are left out come on the next page.
    private static ObjectInspection[] Fitting(IEnumerable<ObjectInspection> objects)
    {
        var bytes = 0L;
        return [.. objects.TakeWhile(shown => bytes <= IoctlLimits.MaxPageBytes && (bytes += WireSize.Of(shown)) > 0)];
    }

    private static async ValueTask<ObjectInspection> ShowAsync(ObjectInspection shown, ObjectGrains grains, ObjectEntry entry, StatePage page)
    {
        var (state, users) = await grains.InspectAsync(entry, page);
        return shown with { State = state, GrainUsers = users, Summary = state is null ? "" : entry.Kind.Summarize(entry, state) };
    }

    private static ObjectFact Users(ObjectInspection shown) => new("users", shown.GrainUsers switch
    {
        null => $"{shown.Users}",
        var users when users == shown.Users => $"{shown.Users}, also by its grain",
        var users => $"{shown.Users}, but its grain counts {users}",
    });

    private static ObjectInspection Show(ObjectEntry entry)
        => new(entry.Ref, entry.Users, entry.DescribeHolders(IoctlLimits.MaxListed), null) { Name = entry.Name };
}
