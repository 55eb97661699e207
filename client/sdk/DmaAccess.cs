namespace IommuFd.Client;

/// <summary>What a device may do with mapped memory.</summary>
[Flags]
public enum DmaAccess
{
    /// <summary>Nothing, which no mapping can have.</summary>
    None = 0,

    /// <summary>Read it.</summary>
    Read = 1,

    /// <summary>Write it.</summary>
    Write = 2,

    /// <summary>Read and write it.</summary>
    ReadWrite = Read | Write,
}
