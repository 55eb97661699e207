using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Model;

/// <summary>Whoever can hold objects for longer than one ioctl.</summary>
internal abstract class HoldOwner
{
    /// <summary>The first edge to what it holds.</summary>
    public Hold? FirstHeld { get; set; }

    /// <summary>How many objects it holds.</summary>
    public int HeldCount { get; set; }

    /// <summary>How an edge of this owner is shown to people.</summary>
    public abstract Holder Describe(Hold hold);
}
