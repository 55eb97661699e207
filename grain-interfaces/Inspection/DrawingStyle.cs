namespace IommuFd.GrainInterfaces;

/// <summary>What an object is to people who look at a drawing: each style has its colour, and a column where such objects stand.</summary>
public enum DrawingStyle
{
    /// <summary>None of the others.</summary>
    Other = 0,

    /// <summary>A driver, which holds what it has made.</summary>
    Driver,

    /// <summary>A device.</summary>
    Device,

    /// <summary>An access to memory.</summary>
    Access,

    /// <summary>A page table.</summary>
    PageTable,

    /// <summary>An address space.</summary>
    Memory,

    /// <summary>A queue of faults or events.</summary>
    Queue,
}
