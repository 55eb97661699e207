namespace IommuFd.Client;

/// <summary>How memory can be accessed.</summary>
[Flags]
public enum MemoryAccess
{
    /// <summary>Not at all.</summary>
    None = 0,

    /// <summary>By reading.</summary>
    Read = 1,

    /// <summary>By writing.</summary>
    Write = 2,

    /// <summary>By reading and writing.</summary>
    ReadWrite = Read | Write,
}
