namespace IommuFd.GrainInterfaces;

/// <summary>What lies behind the bytes of an argument that travel, up to the size in its first u32.</summary>
public enum ArgumentTail
{
    /// <summary>Nothing, or zero bytes only.</summary>
    Zero = 0,

    /// <summary>A byte that is not zero, before any that can't be read.</summary>
    NonZero,

    /// <summary>A byte that can't be read, before any that is not zero.</summary>
    Faulted,
}
