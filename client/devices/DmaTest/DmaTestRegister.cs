namespace IommuFd.Devices.DmaTest;

/// <summary>The registers of dma-test: offsets in BAR 0. docs/devices.md says what each does.</summary>
public static class DmaTestRegister
{
    /// <summary>Read-only: <see cref="IdValue"/>.</summary>
    public const int Id = 0x00;

    /// <summary>Read-only: the version of the register file.</summary>
    public const int Version = 0x04;

    /// <summary>Read-only: <see cref="StatusBusy"/> and <see cref="StatusRepeating"/>.</summary>
    public const int Status = 0x08;

    /// <summary>Read-only: the <see cref="DmaTestResult"/> of the last command.</summary>
    public const int Result = 0x0C;

    /// <summary>Read-only: the errno of the last command that the IOMMU has refused.</summary>
    public const int RefusedErrno = 0x10;

    /// <summary>The PASID of accesses; 0 for none.</summary>
    public const int Pasid = 0x14;

    /// <summary>64 bits: the IOVA that is read.</summary>
    public const int Source = 0x18;

    /// <summary>64 bits: the IOVA that is written.</summary>
    public const int Destination = 0x20;

    /// <summary>Bytes: 1 to <see cref="MaxLength"/>.</summary>
    public const int Length = 0x28;

    /// <summary>What is filled with, and what is expected.</summary>
    public const int Pattern = 0x2C;

    /// <summary>The interrupt that tells of a command's end; <see cref="NoVector"/> for none.</summary>
    public const int Vector = 0x30;

    /// <summary><see cref="FlagRepeat"/> and <see cref="FlagWriteBack"/>.</summary>
    public const int Flags = 0x34;

    /// <summary>Read-only: where a check has found the first byte that is not as expected.</summary>
    public const int Offset = 0x38;

    /// <summary>Read-only: commands that have ended.</summary>
    public const int Done = 0x3C;

    /// <summary>Read-only: accesses that were not made.</summary>
    public const int Refused = 0x40;

    /// <summary>Bit 0: the pin is asserted. Writing 1 clears it.</summary>
    public const int Interrupt = 0x44;

    /// <summary>Write-only: a <see cref="DmaTestCommand"/> to run.</summary>
    public const int Command = 0x48;

    /// <summary>The end of the registers.</summary>
    public const int End = 0x4C;

    /// <summary>In a page that can be mapped: a command to run. The device leaves 0 when it has taken it.</summary>
    public const int Doorbell = 0x1000;

    /// <summary>Memory of the device that can be mapped.</summary>
    public const int Window = 0x2000;

    /// <summary>Its length.</summary>
    public const int WindowLength = 0x2000;

    /// <summary>The value of <see cref="Id"/>: <c>DMAT</c>.</summary>
    public const uint IdValue = 0x5441_4D44;

    /// <summary>A command is running.</summary>
    public const uint StatusBusy = 1 << 0;

    /// <summary>The command is repeated.</summary>
    public const uint StatusRepeating = 1 << 1;

    /// <summary>Repeats the command about each millisecond until it is stopped, whatever becomes of it: a device that goes on after it was detached.</summary>
    public const uint FlagRepeat = 1 << 0;

    /// <summary>Writes what was read back to where it was read: a device that writes what it should only read.</summary>
    public const uint FlagWriteBack = 1 << 1;

    /// <summary>The value of <see cref="Vector"/> for no interrupt.</summary>
    public const uint NoVector = uint.MaxValue;

    /// <summary>The longest command in bytes.</summary>
    public const uint MaxLength = 1 << 20;
}

/// <summary>What dma-test does.</summary>
public enum DmaTestCommand
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Reads from the source and writes to the destination.</summary>
    Copy = 1,

    /// <summary>Writes the pattern to the destination, again and again.</summary>
    Fill = 2,

    /// <summary>Reads from the source and compares with the pattern.</summary>
    Check = 3,

    /// <summary>Reads from the source into the window.</summary>
    Load = 4,

    /// <summary>Writes the window to the destination.</summary>
    Store = 5,

    /// <summary>Raises the interrupt and does nothing else.</summary>
    Interrupt = 6,

    /// <summary>Ends the running command, and its repetition.</summary>
    Stop = 7,
}

/// <summary>What became of a command of dma-test.</summary>
public enum DmaTestResult
{
    /// <summary>It was done.</summary>
    Done = 0,

    /// <summary>The IOMMU has refused an access.</summary>
    Refused = 1,

    /// <summary>Bus mastering is off.</summary>
    NotMaster = 2,

    /// <summary>The device is bound to no context.</summary>
    NotBound = 3,

    /// <summary>It was stopped, or the device was reset.</summary>
    Aborted = 4,

    /// <summary>A check has found other bytes than expected.</summary>
    Mismatch = 5,

    /// <summary>No such command, or its length is out of range.</summary>
    Invalid = 6,
}
