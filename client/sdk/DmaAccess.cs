namespace IommuFd.Client;

/// <summary>What a device may do with mapped memory.</summary>
[Flags]
public enum DmaAccess
{
    /// <summary>Nothing. No mapping can have this.</summary>
    None = 0,

    /// <summary>Read the memory.</summary>
    Read = 1,

    /// <summary>Write the memory.</summary>
    Write = 2,

    /// <summary>Read and write the memory.</summary>
    ReadWrite = Read | Write,
}
