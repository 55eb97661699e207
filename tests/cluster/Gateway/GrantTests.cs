using System.Runtime.Versioning;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Silo.Gateway;
using IommuFd.Uapi;
using Microsoft.Extensions.DependencyInjection;

namespace IommuFd.ClusterTests.Gateway;

/// <summary>The holder of a context lets another identity use it.</summary>
[SupportedOSPlatform("linux")]
public sealed class GrantTests(RemoteSilo silo) : IClassFixture<RemoteSilo>
{
    private static readonly InspectRequest Look = new(default, 1, WithState: false);

    private static string OwnUser => $"user {File.ReadLines("/proc/self/status").First(line => line.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t')[1]}";

    [Fact]
    public async Task The_granted_handle_is_the_grantees_alone_and_does_what_the_holders_does()
    {
        var (alice, bob, user) = (silo.Client(RemoteSilo.AliceToken), silo.Client(RemoteSilo.BobToken), new IommufdClient(silo.Path));
        var context = await alice.OpenAsync("shared");
        var ioas = await context.AllocateIoasAsync();
        var granted = await context.GrantAsync("token bob");

        Assert.NotEqual(context.Handle, granted);
        Assert.Equal(granted, await context.GrantAsync("token bob"));
        await ExpectNoneAsync(bob, context.Handle, "the ungranted handle");
        await ExpectNoneAsync(user, granted, "bob's handle of a third identity");
        await ExpectNoneAsync(alice, granted, "bob's handle of the holder");

        // The grantee takes a reference of its own, acts, and grants further.
        var second = await bob.DuplicateAsync(granted);
        Assert.Equal(ioas, Assert.Single((await second.InspectAsync()).Objects).Object.Id);
        await second.DestroyAsync(ioas);
        await using (var driver = await bob.GetDriverAsync(granted, "bob's driver"))
        {
            await driver.HoldAsync(await context.AllocateIoasAsync(), "why");
        }

        Assert.Equal(Errno.None, (await user.InspectAsync(await second.GrantAsync(OwnUser), Look)).Errno);
        Assert.Equal(context.Handle, await second.GrantAsync("token alice"));

        // It keeps the context open as any reference does, and the grant ends with it.
        await context.CloseAsync();
        await second.AllocateIoasAsync();
        await second.CloseAsync();
        await ExpectNoneAsync(bob, granted, "the handle of a context that is closed");
    }

    [Theory]
    [InlineData("")]
    [InlineData("bob")]
    [InlineData("token")]
    [InlineData("token ")]
    [InlineData("token Bob")]
    [InlineData("token user 0")]
    [InlineData("user")]
    [InlineData("user -1")]
    [InlineData("user 01")]
    [InlineData("user 4294967296")]
    [InlineData("user root")]
    [InlineData("certificate ")]
    [InlineData("certificate a\nb")]
    [InlineData("certificate  a")]
    public async Task What_is_no_identity_is_EINVAL(string identity)
    {
        await using var context = await silo.Client(RemoteSilo.AliceToken).OpenAsync("kept");

        Assert.Equal(Errno.EINVAL, (await Assert.ThrowsAsync<IommufdException>(() => context.GrantAsync(identity))).Errno);
    }

    [Fact]
    public async Task An_identity_that_is_too_long_is_EINVAL_without_being_sent()
    {
        await using var context = await silo.Client(RemoteSilo.AliceToken).OpenAsync("kept");

        Assert.Equal(Errno.EINVAL, (await Assert.ThrowsAsync<IommufdException>(() => context.GrantAsync($"certificate {new string('x', 600)}"))).Errno);
        await context.AllocateIoasAsync();
    }

    [Fact]
    public async Task A_handle_of_no_open_context_grants_nothing()
    {
        using var connection = await WireConnection.CallsAsync(silo.Path);
        var answer = await connection.CallAsync(WireFrames.Grant(5, new byte[16], "token bob"));

        Assert.Equal((0xB3, 0u, 9u), (answer.Kind, answer.Number(0), answer.Number(8)));
        Assert.True(answer.Name(16).All(one => one == 0), "no handle is given");
    }

    [Fact]
    public async Task By_a_grain_factory_handles_are_bound_to_nobody()
    {
        await using var context = await new IommufdClient(silo.Services.GetRequiredService<IGrainFactory>()).OpenAsync("unbound");

        Assert.Contains("the handle itself", (await Assert.ThrowsAsync<NotSupportedException>(() => context.GrantAsync("token bob"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Silos_with_one_secret_know_each_others_handles_and_others_do_not()
    {
        var (secret, handle) = (silo.Certificates.Write("other", "") + ".secret", ContextHandle.NewRandom());
        await using var one = await GatewaySilo.StartAsync(settings => settings.SecretPath = secret);
        await using var other = await GatewaySilo.StartAsync(settings => settings.SecretPath = secret);
        await using var stranger = await GatewaySilo.StartAsync(_ => { });
        var known = SealOf(one).Close("token alice", handle);

        Assert.Equal(handle, SealOf(other).Open("token alice", known));
        Assert.NotEqual(handle, SealOf(stranger).Open("token alice", known));

        static HandleSeal SealOf(GatewaySilo silo) => silo.Services.GetRequiredService<HandleSeal>();
    }

    private static async Task ExpectNoneAsync(IommufdClient client, ContextHandle handle, string what)
    {
        Assert.True((await Assert.ThrowsAsync<IommufdException>(() => client.InspectAsync(handle, Look))).Errno == Errno.EBADF, $"{what} shows no context");
        Assert.True((await Assert.ThrowsAsync<IommufdException>(() => client.DuplicateAsync(handle))).Errno == Errno.EBADF, $"{what} opens no context");
    }
}
