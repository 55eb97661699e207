using IommuFd.Grains.Journaling;

namespace IommuFd.Chaos.Faults;

/// <summary>
/// A deliberately broken journal, to test that a run notices: it reports fenced writes as committed, so that an activation keeps answering
/// after another has taken over.
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
