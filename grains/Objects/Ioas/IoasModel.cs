using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>What an IOAS is made of. Its mappings are not there yet: so far it has its option.</summary>
internal sealed class IoasModel
{
    private bool _hugePages = true;

    public IoasState State => new(_hugePages);

    /// <summary>What is wrong with an IOMMU_OPTION_HUGE_PAGES, whatever the IOAS: 0, EINVAL for a value or EOPNOTSUPP for an op.</summary>
    public static Errno CheckHugePages(IommuOptionOp op, ulong value) => op switch
    {
        IommuOptionOp.Get => Errno.None,
        IommuOptionOp.Set => value > 1 ? Errno.EINVAL : Errno.None,
        _ => Errno.EOPNOTSUPP,
    };

    /// <summary>IOMMU_OPTION_HUGE_PAGES.</summary>
    public OptionReply HugePages(IommuOptionOp op, ulong value)
    {
        if (CheckHugePages(op, value) is var errno && errno != Errno.None)
        {
            return OptionReply.Failed(errno);
        }

        if (op == IommuOptionOp.Set)
        {
            _hugePages = value == 1;
        }

        return new OptionReply(Errno.None, _hugePages ? 1UL : 0);
    }
}
