namespace IommuFd.GrainInterfaces;

/// <summary>What a silo knows of the store of its journals.</summary>
public enum JournalState
{
    /// <summary>The silo has no journals, or does not say.</summary>
    None = 0,

    /// <summary>Its last operations worked.</summary>
    Works,

    /// <summary>It fails, and so does every request that needs it.</summary>
    Fails,
}
