using IommuFd.Linearizability;
using IommuFd.TestSupport;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;
using Xunit.Abstractions;
using Ioctl = IommuFd.Linearizability.Ioctl;

namespace IommuFd.UnitTests.Linearizability;

/// <summary>
/// The specification that chaos runs are judged by, against the service without a silo: both answer the same random ioctls, bytes and all.
/// </summary>
public sealed class SpecificationTests(ITestOutputHelper output)
{
    private const int Contexts = 30;
    private const int Steps = 500;

    // What each command must have been answered, or the test has not looked.
    private static readonly (string Command, Errno[] Errnos)[] Interesting =
    [
        ("IOMMU_DESTROY", [Errno.None, Errno.ENOENT, Errno.EBUSY]),
        ("IOMMU_IOAS_ALLOC", [Errno.None, Errno.EOPNOTSUPP]),
        ("IOMMU_IOAS_MAP", [Errno.None, Errno.ENOENT, Errno.EINVAL, Errno.EEXIST]),
        ("IOMMU_IOAS_UNMAP", [Errno.None, Errno.ENOENT, Errno.EINVAL, Errno.EOVERFLOW]),
        ("IOMMU_IOAS_COPY", [Errno.None, Errno.ENOENT, Errno.EINVAL, Errno.EEXIST, Errno.EPERM]),
        ("IOMMU_OPTION", [Errno.None, Errno.ENOENT, Errno.EINVAL, Errno.EBUSY]),
        ("IOMMU_HWPT_ALLOC", [Errno.None, Errno.ENOENT, Errno.EINVAL, Errno.EOPNOTSUPP]),
        ("IOMMU_HWPT_INVALIDATE", [Errno.None, Errno.ENOENT, Errno.EINVAL, Errno.EOPNOTSUPP]),
        ("IOMMU_VIOMMU_ALLOC", [Errno.None, Errno.ENOENT, Errno.EINVAL, Errno.EOPNOTSUPP]),
        ("IOMMU_VDEVICE_ALLOC", [Errno.None, Errno.ENOENT, Errno.EEXIST]),
        ("MockDomain", [Errno.None, Errno.ENOENT, Errno.EINVAL, Errno.EADDRINUSE]),
        ("MockDomainReplace", [Errno.None, Errno.ENOENT, Errno.EINVAL]),
        ("MdCheckMap", [Errno.None, Errno.ENOENT, Errno.EINVAL]),
        ("MdCheckIotlb", [Errno.None, Errno.ENOENT, Errno.EINVAL]),
        ("DevCheckCache", [Errno.None, Errno.ENOENT, Errno.EINVAL]),
    ];

    [Fact]
    public void The_specification_and_the_service_answer_the_same()
    {
        var seed = Seed.Of(output);
        var seen = new SortedDictionary<string, SortedDictionary<Errno, int>>(StringComparer.Ordinal);
        var mostObjects = 0;
        for (var i = 0; i < Contexts; i++)
        {
            mostObjects = Math.Max(mostObjects, CompareOne(seed + i, $"of context {i}, IOMMUFD_SEED={seed}", seen));
        }

        foreach (var (name, errnos) in seen)
        {
            output.WriteLine($"{name}: {string.Join(", ", errnos.Select(pair => $"{pair.Key} {pair.Value}"))}");
        }

        output.WriteLine($"At most {mostObjects} objects.");
        var missing = Interesting.SelectMany(row => row.Errnos.Where(errno => !seen[row.Command].ContainsKey(errno)).Select(errno => $"{row.Command} {errno}"));
        Expect.Sequence([], missing, "answers that never came");
    }

    private static int CompareOne(int seed, string where, SortedDictionary<string, SortedDictionary<Errno, int>> seen)
    {
        var mostObjects = 0;
        var context = new SpecifiedContext();
        var clients = Enumerable.Range(0, 3).Select(i => new IoctlMix((seed * 10) + i, SpecifiedContext.Memory, IoctlMix.LeastPages)).ToArray();
        var random = new Random(seed);
        for (var step = 0; step < Steps; step++)
        {
            var client = clients[random.Next(clients.Length)];
            var ioctl = client.Next();
            var actual = context.Run(ioctl, $"Step {step} {where}");
            Count(seen, ioctl, actual.Errno);
            client.Learn(ioctl, actual);
            mostObjects = Math.Max(mostObjects, context.State.Objects.Count());
        }

        return mostObjects;
    }

    private static void Count(SortedDictionary<string, SortedDictionary<Errno, int>> seen, Ioctl ioctl, Errno errno)
    {
        var name = ioctl.Command == (uint)IommuCommand.TestCmd
            ? ((IommuTestOp)UapiStruct.Read<IommuTestCmd>(ioctl.Argument).Op).ToString()
            : IoctlTable.Find(ioctl.Command)!.Name;
        var errnos = seen.TryGetValue(name, out var known) ? known : seen[name] = [];
        errnos[errno] = errnos.GetValueOrDefault(errno) + 1;
    }
}
