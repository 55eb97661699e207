namespace IommuFd.Grains.Journaling;

/// <summary>
/// The journals of a silo's contexts, as the grains use them: a store whose commits gather the writes of many contexts. A service of the
/// silo; a silo without it has volatile contexts only.
/// </summary>
public interface IJournal
{
    /// <summary>The store, for everything except writes.</summary>
    IJournalStore Store { get; }

    /// <summary>The silo's name as an owner of journals.</summary>
    string Owner { get; }

    /// <summary>Writes, in one commit with the other writes that wait.</summary>
    /// <param name="write">The write. A context has one under way at a time.</param>
    /// <returns>The outcome, once it is durable.</returns>
    /// <exception cref="JournalStoreException">The commit failed; the write's outcome is unknown.</exception>
    ValueTask<JournalOutcome> WriteAsync(JournalWrite write);
}
