using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>What an IOAS is made of. Its mappings are not there yet: so far it has its option.</summary>
internal sealed class IoasModel
{
    private bool _hugePages = true;

    public IoasState State => new(_hugePages);

    /// <summary>IOMMU_OPTION_HUGE_PAGES.</summary>
    public OptionReply HugePages(IommuOptionOp op, ulong value)
    {
        switch (op)
        {
            case IommuOptionOp.Get:
                return new OptionReply(Errno.None, _hugePages ? 1UL : 0);

            case IommuOptionOp.Set when value > 1:
                return new OptionReply(Errno.EINVAL, value);

            case IommuOptionOp.Set:
                _hugePages = value == 1;
                return new OptionReply(Errno.None, value);

            default:
                return new OptionReply(Errno.EOPNOTSUPP, value);
        }
    }
}
