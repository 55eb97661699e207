namespace IommuFd.Client;

/// <summary>What may be done with a piece of memory.</summary>
[Flags]
public enum MemoryAccess
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>It can be read.</summary>
    Read = 1,

    /// <summary>It can be written.</summary>
    Write = 2,

    /// <summary>It can be read and written.</summary>
    ReadWrite = Read | Write,
}
