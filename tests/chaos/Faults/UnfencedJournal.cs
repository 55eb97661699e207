using IommuFd.Grains.Journaling;

namespace IommuFd.Chaos.Faults;

/// <summary>
/// A journal that is broken on purpose, to see that a run notices: it says of writes that were fenced that they are made, so that an activation that another has followed goes on
/// answering.
/// </summary>
internal sealed class UnfencedJournal(IJournal journal) : IJournal
{
    public IJournalStore Store => journal.Store;

    public string Owner => journal.Owner;

    public async ValueTask<JournalOutcome> WriteAsync(JournalWrite write)
    {
        await journal.WriteAsync(write);
        return JournalOutcome.Committed;
    }
}
