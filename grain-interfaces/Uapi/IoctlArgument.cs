namespace IommuFd.Uapi;

/// <summary>What an ioctl's third argument is.</summary>
public enum IoctlArgument
{
    /// <summary>A pointer to a struct that says in its first field how many bytes the caller knows: so many are read.</summary>
    Sized = 0,

    /// <summary>An integer, and no pointer. It travels as the argument's 8 bytes.</summary>
    Integer,

    /// <summary>A pointer to a struct of which the smallest form is read, whatever its first field says.</summary>
    Fixed,
}
