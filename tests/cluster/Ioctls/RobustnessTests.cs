using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit.Abstractions;

namespace IommuFd.ClusterTests.Ioctls;

/// <summary>A million hostile requests on a real silo: none throws, none that fails changes anything, and nothing is left after close.</summary>
public sealed class RobustnessTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const int Requests = 1_000_000;
    private const int Workers = 4;
    private const int RequestsInAContext = 250;

    private IHost _host = null!;

    private IGrainFactory Grains => _host.Services.GetRequiredService<IGrainFactory>();

    public async Task InitializeAsync() => _host = await SiloHost.StartInProcessAsync();

    public async Task DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
    }

    [Fact]
    public async Task No_request_throws_or_changes_a_context_that_answered_an_error_or_leaves_an_object_behind()
    {
        var seed = Seed.Of(output);
        var succeeded = await Task.WhenAll(Enumerable.Range(0, Workers).Select(worker => Task.Run(() => WorkAsync(seed, worker))));

        output.WriteLine($"{Requests} requests, {succeeded.Sum()} succeeded");
        Assert.True(succeeded.Sum() > Requests / 20, $"seed {seed}: enough requests succeed for the test to mean something, {succeeded.Sum()} did");
        var management = Grains.GetGrain<IManagementGrain>(0);
        await Eventually.TrueAsync(
            async () => (await management.GetSimpleGrainStatistics()).All(grain => !grain.GrainType.Contains("IommuFd", StringComparison.Ordinal) || grain.ActivationCount == 0),
            "no activation of a context or an object is left");
    }

    private async Task<int> WorkAsync(int seed, int worker)
    {
        var random = new Random(unchecked((seed * Workers) + worker));
        var requests = new HostileRequests(random);
        var succeeded = 0;
        for (var done = 0; done < Requests / Workers; done += RequestsInAContext)
        {
            succeeded += await LifeAsync(requests, $"seed {seed}, worker {worker}, context at {done}");
            await Task.Yield();
        }

        return succeeded;
    }

    private async Task<int> LifeAsync(HostileRequests requests, string where)
    {
        var grain = new GrainChannel(Grains).Find(ContextHandle.NewRandom());
        var opened = await grain.OpenAsync(new OpenRequest(ContextMode.Volatile, "robustness"));
        var before = await InspectAsync(grain);
        var files = new List<UserFile>();
        var succeeded = 0;
        for (var i = 0; i < RequestsInAContext; i++)
        {
            var request = requests.Next(files);
            var reply = await grain.IoctlAsync(request, default);
            files.AddRange(reply.File is { } opens ? [opens.File] : []);
            var after = await InspectAsync(grain);
            if (reply.Errno == Errno.None)
            {
                succeeded++;
            }
            else
            {
                Assert.True(reply.Diagnostic is not null, $"{where}, request {i}: {reply.Errno} comes with its reason");
                Assert.True(Same(before, after, MayUnmapInPart(request, reply)), $"{where}, request {i} (0x{request.Command:X} {Convert.ToHexStringLower(request.Argument)}) answered {reply.Errno} and changed the context");
            }

            before = after;
        }

        foreach (var file in files)
        {
            var put = await grain.PutAsync(file.Target!.Reference);
            Assert.True(put.Errno == Errno.None, $"{where}: closing {file} answered {put.Errno}");
        }

        before = await InspectAsync(grain);
        var closed = await grain.PutAsync(opened.Reference);
        Assert.True(closed.Release is { Stuck.Length: 0 } release && release.Destroyed == before.ObjectCount,
            $"{where}: close releases all {before.ObjectCount} objects, it released {closed.Release}");
        Assert.Equal(Errno.EBADF, (await InspectAsync(grain)).Errno);
        return succeeded;
    }

    private static Task<ContextInspection> InspectAsync(ContextCalls grain)
        => grain.InspectAsync(new InspectRequest(default, IoctlLimits.MaxInspectionPage, WithState: true), CancellationToken.None);

    // As in Linux, an unmap that meets an area that it can't take has already unmapped the areas before it.
    private static bool MayUnmapInPart(IoctlRequest request, IoctlReply reply)
        => request.Command == (uint)IommuCommand.IoasUnmap && reply.Errno == Errno.ENOENT;

    private static bool Same(ContextInspection left, ContextInspection right, bool apartFromState)
        => left.RlimitMode == right.RlimitMode
            && left.CompatIoas == right.CompatIoas
            && left.ObjectCount == right.ObjectCount
            && left.Objects.Zip(right.Objects).All(pair => pair.First.Object == pair.Second.Object
                && pair.First.Users == pair.Second.Users
                && (apartFromState || Equals(pair.First.State, pair.Second.State)));
}
