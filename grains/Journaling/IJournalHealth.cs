namespace IommuFd.Grains.Journaling;

/// <summary>What a silo knows of its journals' store by the operations that it has made.</summary>
public interface IJournalHealth
{
    /// <summary>Why the store fails; null while it works.</summary>
    string? Problem { get; }
}
