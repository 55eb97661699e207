namespace IommuFd.Grains.Journaling;

/// <summary>
/// The journals of a silo's contexts, as the grains use them: a store, with writes of many contexts gathered into one commit. A service of the silo; a silo
/// without one has volatile contexts only.
/// </summary>
public interface IJournal
{
    /// <summary>The store, for everything but writes.</summary>
    IJournalStore Store { get; }

    /// <summary>The silo's name as an owner of journals.</summary>
    string Owner { get; }

    /// <summary>Makes a write, in one commit with those of others that wait.</summary>
    /// <param name="write">The write. A context has one at a time.</param>
    /// <returns>Whether it was made, once that is durable.</returns>
    /// <exception cref="JournalStoreException">The commit failed; the write may be made or not.</exception>
    ValueTask<JournalOutcome> WriteAsync(JournalWrite write);
}
